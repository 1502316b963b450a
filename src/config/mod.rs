//! Settings.
mod life;
pub(crate) mod nearest;
pub use life::Life;
