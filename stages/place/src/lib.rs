//! Stage 'place' of the shipped flow
