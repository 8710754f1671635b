//! Stage 'gatesim' of the shipped flow
