# SPDX-License-Identifier: Apache-2.0
defmodule Hello do
  @moduledoc "Greets the nodes that come, and tells of those that go."
  use GenServer

  def start_link([]), do: GenServer.start_link(__MODULE__, [], name: __MODULE__)

  @impl true
  def init([]) do
    :ok = :net_kernel.monitor_nodes(true)
    {:ok, []}
  end

  @impl true
  def handle_info({:nodeup, node}, state) do
    IO.puts("hello, #{node}")
    {:noreply, state}
  end

  def handle_info({:nodedown, node}, state) do
    IO.puts("goodbye, #{node}")
    {:noreply, state}
  end
end
