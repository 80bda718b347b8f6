"""Explanations of models that were trained on the monthly problems: a file for each, which finds
the roles in the model at hand."""
