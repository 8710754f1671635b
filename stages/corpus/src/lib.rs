//! Stage 'corpus' of the shipped flow
