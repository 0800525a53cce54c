"""What an arm is: a model in one precision, loaded, verified and identified. Knows no lm_eval."""
