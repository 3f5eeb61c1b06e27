#!/bin/sh
# Builds both images, pushes them to a registry of yours, and prints the values of the chart for them: `make images`.
# Takes docker with buildx, podman or nerdctl, whichever is there; BUILDER names one.
set -eu

registry=${REGISTRY:-}
if [ -z "$registry" ]; then
    echo "images: REGISTRY is missing: make images REGISTRY=registry.example/team" >&2
    exit 2
fi
version=${VERSION:?images: VERSION is missing: run make images}

found() {
    case $1 in
        docker) docker buildx version ;;
        *) command -v "$1" ;;
    esac > /dev/null 2>&1
}

builder=${BUILDER:-}
if [ -z "$builder" ]; then
    for each in docker podman nerdctl; do
        if found "$each"; then
            builder=$each
            break
        fi
    done
fi
if ! found "${builder:-none}"; then
    echo "images: no ${builder:-docker with buildx, podman or nerdctl} here: install one, or name one by BUILDER" >&2
    exit 1
fi

revision=$(git rev-parse HEAD 2> /dev/null || echo unknown)
created=$(date -u +%Y-%m-%dT%H:%M:%SZ)
source=$(git remote get-url origin 2> /dev/null || echo unknown)
for program in exporter aggregator; do
    image=$registry/pulltrace-$program:$version
    set -- --file deploy/Containerfile --target "$program" --tag "$image" \
        --build-arg VERSION="$version" --build-arg REVISION="$revision" \
        --build-arg CREATED="$created" --build-arg SOURCE="$source"
    case $builder in
        docker) docker buildx build --push ${PLATFORM:+--platform "$PLATFORM"} "$@" . ;;
        *)
            "$builder" build ${PLATFORM:+--platform "$PLATFORM"} "$@" .
            "$builder" push "$image"
            ;;
    esac
done

host=${registry%%/*}
path=${registry#"$host"}
path=${path#/}
cat << VALUES

Pushed. Install with these values, for instance as images.yaml by --values images.yaml:

exporter:
  image:
    registry: $host
    repository: ${path:+$path/}pulltrace-exporter
    tag: $version
aggregator:
  image:
    registry: $host
    repository: ${path:+$path/}pulltrace-aggregator
    tag: $version
VALUES
