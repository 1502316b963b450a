//! Settings.
mod life;
pub use life::Life;
