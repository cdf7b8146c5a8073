# The service in a small image: the locked dependencies with their hashes, the code, no build tools, no root.
# Python is the version that the tests run on.
FROM python:3.11-slim-bookworm AS build
WORKDIR /build
RUN python -m venv --without-pip /opt/pas
COPY requirements.lock ./
RUN pip --python /opt/pas/bin/python install --no-cache-dir --disable-pip-version-check \
        --require-hashes -r requirements.lock
COPY pyproject.toml setup.py README.md LICENSE NOTICE ./
COPY app app
COPY alembic alembic
COPY contracts contracts
COPY config config
RUN pip --python /opt/pas/bin/python install --no-cache-dir --disable-pip-version-check \
        --no-deps --no-build-isolation . \
    && pip --python /opt/pas/bin/python uninstall --quiet --yes setuptools

FROM python:3.11-slim-bookworm
RUN groupadd --system --gid 10001 pas \
    && useradd --system --uid 10001 --gid pas --no-create-home --shell /usr/sbin/nologin pas \
    && python -m pip uninstall --quiet --yes pip setuptools wheel
WORKDIR /srv/pas
COPY --from=build /opt/pas /opt/pas
# Nothing starts a shell from here on; to look around: docker exec -it … python
RUN ["/bin/rm", "-f", "/bin/sh", "/bin/dash", "/bin/bash", "/bin/rbash"]
ENV PATH=/opt/pas/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001
EXPOSE 8080
# Alive, not ready: a service that waits for its database must not be restarted for it.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(f'http://127.0.0.1:{os.environ.get(\"SERVER_PORT\") or 8080}/health/live', timeout=4)"]
ENTRYPOINT ["pas"]
# The settings: /srv/pas/application.yml, or the file that PAS_CONFIG names.
CMD ["serve"]
