//! Stage 'route' of the shipped flow
