//! Who may do what: the roles, the scopes that each has, and what an administrator may do to an
//! account. The one place that says so; rules only, no I/O.

mod change;
mod role;
mod scope;
mod user;

pub use change::{Change, NotAllowed};
pub use role::{Role, scopes_of};
pub use scope::Scope;
pub use user::{User, UserStatus};
