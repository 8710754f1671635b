//! Stage 'cosim' of the shipped flow
