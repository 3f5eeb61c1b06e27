"""Where the sources and the generated files are."""

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
ALERTS: Final = ROOT / "alerts"
DASHBOARDS: Final = ROOT / "dashboards"
CHART: Final = ROOT / "deploy" / "helm" / "pulltrace"
MANIFESTS: Final = ROOT / "deploy" / "manifests"

RULES_COPIES: Final = CHART / "files" / "rules"
NEEDS: Final = CHART / "files" / "needs.yaml"
DASHBOARD_COPIES: Final = CHART / "files" / "dashboards"
GENERATED_FOLDERS: Final = (RULES_COPIES, DASHBOARD_COPIES, MANIFESTS)
"""Nothing lies in them that is not generated."""
