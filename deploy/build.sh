#!/usr/bin/env bash
# Builds every function into .aws-sam/build, from which deploy.py deploys. Arguments go to `sam build`.
#
# Needs the environment of deploy/requirements.txt first on PATH and, for arm64: rustup target add aarch64-unknown-linux-gnu
set -euo pipefail
cd "$(dirname "$0")/.."

# sam can't hand `--locked` on. This fails where Cargo.lock is out of date, and without the network nothing newer gets in.
cargo fetch --locked
export CARGO_NET_OFFLINE=true SAM_CLI_TELEMETRY=0
exec sam build "$@"
