//! Stage 'evaluate' of the shipped flow
