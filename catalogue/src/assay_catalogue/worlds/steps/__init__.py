"""Steps of optimisers on a slope that samples disturb: how each is drawn, and its covariance in
closed form."""
