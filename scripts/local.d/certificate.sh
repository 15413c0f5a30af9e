# shellcheck shell=bash
# The certificate, for this machine only.

# The authority that signs it throws its key away at once.
make_certificate()
{
    local scratch

    if openssl x509 -checkend $((30 * 86400)) -noout -in "$var/tls/server.pem" >/dev/null 2>&1; then
        return
    fi
    scratch=$(mktemp -d "$var/tmp/tls.XXXXXX")
    cat >"$scratch/openssl.cnf" <<'END'
[req]
prompt = no
distinguished_name = name
[name]
commonName = ${ENV::NAME}
[authority]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
nameConstraints = critical, permitted;DNS:localhost, permitted;IP:127.0.0.1/255.255.255.255, permitted;IP:0:0:0:0:0:0:0:1/ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = DNS:localhost, IP:127.0.0.1, IP:::1
END
    (
        cd "$scratch"
        export OPENSSL_CONF=$scratch/openssl.cnf NAME
        NAME="stack-orchestrator private instance $(random_hex 4)"
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -sha256 -days 825 \
            -extensions authority -keyout ca.key -out ca.pem
        NAME=localhost
        openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -sha256 \
            -keyout server.key -out server.csr
        openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -set_serial "0x$(random_hex 16)" -sha256 \
            -days 825 -extfile openssl.cnf -extensions server -out server.pem
    ) >"$var/log/openssl.log" 2>&1 || { show_log openssl.log && die 'openssl could not make a certificate'; }
    mv "$scratch"/{ca.pem,server.key,server.pem} "$var/tls"
    rm -r "$scratch"
}
