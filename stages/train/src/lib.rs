//! Stage 'train' of the shipped flow
