"""Installs the packages and says where they are: `python -m rig.grafana`."""

from rig.grafana import packages

if __name__ == "__main__":
    print(f"@grafana/data of npm: in {packages()}")  # noqa: T201
