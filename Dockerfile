# SPDX-License-Identifier: Apache-2.0
#
# An image with Erlang and eid: docker build -t eid .
#
# Of one Debian release, both: what is built in the first runs in the second.
ARG BUILDER_IMAGE=swift:6.2-bookworm
ARG RUNTIME_IMAGE=debian:bookworm-slim

FROM ${BUILDER_IMAGE} AS builder
# erlang-base and erlang-dev are what build.sh wants, the others what an
# application may want.
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
      binutils \
      erlang-base \
      erlang-crypto \
      erlang-dev \
      erlang-inets \
      erlang-mnesia \
      erlang-os-mon \
      erlang-runtime-tools \
      erlang-ssl \
      erlang-syntax-tools \
      erlang-tools \
      erlang-xmerl \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# Without what only a compiler of Erlang or C would read.
RUN ./build.sh /opt/erlang \
 && rm -rf /opt/erlang/usr /opt/erlang/lib/*/include /opt/erlang/lib/*/src

FROM ${RUNTIME_IMAGE}
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
      libstdc++6 \
      libssl3 \
      libtinfo6 \
      ncurses-base \
      zlib1g \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 1000 --create-home erlang
COPY --from=builder /opt/erlang /opt/erlang
ENV PATH=/opt/erlang/bin:$PATH
USER erlang
WORKDIR /home/erlang
EXPOSE 12345
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["eid", "health"]
ENTRYPOINT ["eid-entrypoint"]
CMD ["erl", "-noinput"]
