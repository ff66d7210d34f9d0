//! Access control: the roles, their scopes, and which changes an administrator may make to a user's
//! account. These rules are defined only here. This crate does no I/O.

mod change;
mod role;
mod scope;
mod user;

pub use change::{ChangeError, UserChange};
pub use role::{Role, scopes_of};
pub use scope::Scope;
pub use user::{User, UserStatus};
