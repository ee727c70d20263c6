#!/bin/sh
# List the contents of an image as CycloneDX, and scan it for known vulnerabilities:
# sh deploy/scan-image.sh IMAGE sbom.cdx.json
# It fails for serious ones that have a fix. To make an exception, add a line to .trivyignore.
set -eu

# SCANNER names the scanner's image, such as one in your own registry.
scanner=${SCANNER:-aquasec/trivy:0.74.0@sha256:62b1e65e8869bc4b4c6aa4fa2b21595256c7c2f6018a9d9ad61caf87187c1969}

run_scanner() {
    docker run --rm --interactive --env "EXCEPTIONS=$(cat .trivyignore 2>/dev/null)" \
        --entrypoint sh "$scanner" -c "$1"
}

# Pass the image as a file: so the scanner gets no access to the engine.
docker save "$1" | run_scanner '
    cat >/tmp/image.tar
    trivy --quiet image --input /tmp/image.tar --format cyclonedx' >"$2"

run_scanner '
    cat >/tmp/sbom.json
    printenv EXCEPTIONS >/tmp/exceptions
    trivy --quiet sbom --ignorefile /tmp/exceptions --ignore-unfixed \
        --severity HIGH,CRITICAL --exit-code 1 /tmp/sbom.json' <"$2"
