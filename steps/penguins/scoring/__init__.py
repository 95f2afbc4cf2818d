"""Predict with a logged model from the rows of any table: find the model, predict here or in Spark, write, evaluate."""
