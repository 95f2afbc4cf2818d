"""The names of the tables that runs hold, for the steps that log them and the report that reads them."""

# Of a sweep.
RESULTS, CLUSTERS, PROFILES = "results.csv", "clusters.parquet", "cluster_profiles.csv"
POINTS, DISTANCES = "points.parquet", "k_distances.csv"
# Of a classifier and of a regression.
ROC, CONFUSION, COEFFICIENTS, CV_RESULTS = "roc_curve.csv", "conf_matrix.csv", "coefficients.csv", "cv_results.csv"
