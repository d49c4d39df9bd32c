"""One self-contained page about one or several runs: `build_report`.

run_folder   what a run folder holds, damaged or missing files said in one line each
stored       its stored rollout groups, one Parquet file at a time
curves       metrics as curves; runs that differ only in their seed are one family
spread       histograms of the reward's factors; bonus against length
browser      a sample of the stored groups, long texts cut in the middle
plane        teachers and rollouts in two dimensions, the same ones at every step
probe_map    the map of a run's probes; stored_map: that of its stored groups, where it has no probes
facts        headline, cost, configuration, environment, differences
page         all of it, the scripts of assets/ and the plotting library in one HTML file
"""

from oger.reporting.report.build import build_report

__all__ = ["build_report"]
