//! Stage 'csim' of the shipped flow
