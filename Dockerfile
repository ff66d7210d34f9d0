# One of the programs below functions/ as a container, for where there is no Lambda:
#   docker build --platform linux/arm64 --build-arg PROGRAM=api --tag cauce/api .

# The version is that of rust-toolchain.toml. Images are named by digest, so that what is built tomorrow is built on
# the same; Dependabot brings newer ones.
FROM rust:1.95.0-slim-trixie@sha256:e14e87345b4d5964ddcc3491d27ee046a0f23820f340c3c1e24da6880141f7c0 AS build
# Which one: api, breaker-probe or retry.
ARG PROGRAM
WORKDIR /build
COPY . .
# What is fetched and compiled is kept from one build to the next. The program is copied out of there,
# because a cache is no part of an image.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target,sharing=locked \
    cargo build --locked --release --package "${PROGRAM:?}" \
    && cp "target/release/$PROGRAM" /program

# The C library, certificates, and nothing else: no shell, no packages.
FROM gcr.io/distroless/cc-debian13:nonroot@sha256:c31ff9abcb1910f3ab25c7957bdaf0bfe12a01eb546e8df2282f1c8f682b606c
# checkov:skip=CKV_DOCKER_2: The orchestrator asks GET /healthz; the image holds nothing that could ask itself.
# Without it the program would be a Lambda.
ENV LISTEN=0.0.0.0:8080
COPY --from=build /program /program
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/program"]
