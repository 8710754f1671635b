//! Stage 'smoothquant' of the shipped flow
