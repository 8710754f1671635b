//! Stage 'finish' of the shipped flow
