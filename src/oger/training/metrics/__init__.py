"""What a step leaves behind: sums, stored rows, histograms, trackers, profiles."""
