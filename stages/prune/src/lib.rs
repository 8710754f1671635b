//! Stage 'prune' of the shipped flow
