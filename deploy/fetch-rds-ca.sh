#!/usr/bin/env bash
# Downloads the certificates that RDS's servers are signed with: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL.html
set -euo pipefail
cd "$(dirname "$0")/.."

url=${1:-https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem}
# Amazon adds roots about once a year, and then this stops the next deployment: look at what is new
# (openssl storeutl -noout -text -certs FILE), and put the new digest here.
digest=e5bb2084ccf45087bda1c9bffdea0eb15ee67f0b91646106e466714f9de3c7e3

# In the repository already: no deployment waits for another server.
kept=layers/rds-ca/rds-ca.pem
if [ $# = 0 ] && [ -f $kept ] && sha256sum --check --status <<<"$digest  $kept"; then
  if command -v openssl >/dev/null; then
    # The first that ends. AWS has new ones long before; a year is time enough.
    openssl storeutl -noout -text -certs $kept | sed -n 's/^ *Not After : //p' | while read -r end; do
      [ "$(date --date="$end" +%s)" -gt $(($(date +%s) + 365 * 86400)) ] || echo "$end"
    done | sort -u | sed "s/^/$kept has a certificate that ends on /" >&2
  fi
  exit 0
fi

downloaded=$(mktemp)
trap 'rm -f "$downloaded"' EXIT
curl --fail --silent --show-error --retry 3 --max-time 60 --output "$downloaded" "$url"
if ! sha256sum --check --status <<<"$digest  $downloaded"; then
  echo "$url is not what it was: its SHA-256 is $(sha256sum <"$downloaded"), of $(grep -c BEGIN "$downloaded") certificates" >&2
  exit 1
fi
install -D --mode=644 "$downloaded" layers/rds-ca/rds-ca.pem
