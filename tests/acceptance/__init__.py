"""What any version of Assay has to do: tests whose truth comes from outside the code."""
