# SPDX-License-Identifier: Apache-2.0
defmodule Hello.MixProject do
  use Mix.Project

  def project do
    [
      app: :hello,
      version: "0.1.0",
      elixir: "~> 1.14",
      start_permanent: Mix.env() == :prod,
      deps: [{:eid, git: "https://github.com/EXAMPLE/eid.git", branch: "main"}],
      releases: [hello: [reboot_system_after_config: true]]
    ]
  end

  def application do
    [mod: {Hello.Application, []}]
  end
end
