# SPDX-License-Identifier: Apache-2.0
#
# Adds eid to an image that has an Erlang of its own, 25 or later:
#   ./build.sh --app app && docker build -f docker/Dockerfile.app -t eid app
ARG ERLANG_IMAGE=erlang:27-slim
FROM ${ERLANG_IMAGE}
COPY eid-1.0.0 /opt/eid/eid-1.0.0
ENV ERL_LIBS=/opt/eid PATH=/opt/eid/eid-1.0.0/priv:$PATH
ENTRYPOINT ["eid-entrypoint"]
CMD ["erl", "-noinput"]
