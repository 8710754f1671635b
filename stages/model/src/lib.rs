//! GPT model, tokenisers, quantisation arithmetic in floating point
