#!/usr/bin/env bash
# The certificates that RDS's servers are signed with, which the layer RdsCa brings: whether they are those that were looked at last.
# `deploy/rds-ca.sh renew` downloads them anew and says what to write below:
# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL.html
set -euo pipefail
cd "$(dirname "$0")/.."

kept=${RDS_CA_FILE:-layers/rds-ca/rds-ca.pem}
digest=26edf290f2d57ebbd5273fb9463b763497a47c14a4712d73ce47da8dc4ad57dc
# When AWS had these. It adds some with every new region, and replaces none before it ends: in 2061 at the earliest.
as_of=2024-09-02

if [ "${1:-}" = renew ]; then
  curl --fail --silent --show-error --retry 3 --max-time 60 --output "$kept" \
    "${2:-https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem}"
  echo "look at git diff, then in $0: digest=$(sha256sum <"$kept" | cut -d' ' -f1) as_of=$(date +%F), $(grep -c BEGIN "$kept") certificates"
  exit 0
fi

if ! sha256sum --check --status <<<"$digest  $kept"; then
  echo "$kept is not what it was: its SHA-256 is $(sha256sum <"$kept")" >&2
  exit 1
fi
if [ "$(date --date="${RDS_CA_AS_OF:-$as_of}" +%s)" -lt $(($(date +%s) - 365 * 86400)) ]; then
  echo "warning: $kept is as of ${RDS_CA_AS_OF:-$as_of}, and regions that are newer are not in it: $0 renew" >&2
fi
