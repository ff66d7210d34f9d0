//! The two external services, for laptops and tests: each a program of its own that speaks the
//! provider's API, keeps what it was told over a kill, shows its ledger, and fails on demand.
//!
//! Beside the provider's addresses under `/v1/`, each has some of its own:
//!
//! | address | what it is for |
//! | --- | --- |
//! | `GET /_ledger` | every effect on the outside world; `?order_id=` for those of one order |
//! | `PUT /_faults` | what is to go wrong: one fault, or a plan `{"seed": 7, "faults": […]}` |
//! | `GET`, `DELETE /_faults` | what is left of that, and how many calls it struck; ends it |
//! | `GET`, `DELETE /_faults/struck` | which calls each fault struck, for which order; counts anew |
//! | `GET`, `DELETE /_calls` | how it was called; counts anew |
//! | `PUT`, `GET`, `DELETE /_webhooks` | where its events go, and how badly; how that went; ends it |
//! | `PUT /_clock` | by how many milliseconds its clock is ahead: `{"ahead_ms": 5000}` |
//! | `PUT /_keys` | payments: how long an idempotency key is kept, instead of a day: `{"kept_ms": 75000}` |
//! | `POST /_lapse` | payments: the hold of `order_id` ends before its time |
//! | `POST /_carrier` | shipping: the parcel of `order_id` or `label_id` moves to `status`; answers with the event |
//! | `GET /jwks` | shipping: the public key of its signatures, as at the provider |

mod calls;
mod clock;
mod connection;
mod faults;
mod injection;
mod payments;
mod serve;
mod shipping;
mod specification;
mod storage;
mod webhooks;

pub use payments::PAYMENTS;
pub use serve::{Arguments, Service, Shared, serve, serve_on};
pub use shipping::SHIPPING;
pub use storage::Storage;
