//! Simulators of the payment and the shipping provider, for development and tests. Each is a
//! program that serves the provider's API, survives a kill without losing state, records every
//! effect in a ledger, and injects faults on demand.
//!
//! Next to the provider's routes under `/v1/`, each has control routes:
//!
//! | route | purpose |
//! | --- | --- |
//! | `GET /_ledger` | every effect on the outside world; `?order_id=` for those of one order |
//! | `PUT /_faults` | sets one fault, or a plan `{"seed": 7, "faults": […]}` |
//! | `GET`, `DELETE /_faults` | shows the rest of the plan and the calls that it struck; clears it |
//! | `GET`, `DELETE /_faults/struck` | shows which calls each fault struck, by order; resets that |
//! | `GET`, `DELETE /_calls` | shows the call statistics; resets them |
//! | `PUT`, `GET`, `DELETE /_webhooks` | configures webhooks; shows their state; stops them |
//! | `PUT /_clock` | sets how far the clock is ahead: `{"ahead_ms": 5000}` |
//! | `PUT /_keys` | payments: sets how long idempotency keys are kept: `{"kept_ms": 75000}` |
//! | `POST /_lapse` | payments: expires the authorization of `order_id` |
//! | `POST /_dispute` | payments: opens or changes the dispute of `order_id`; answers with it |
//! | `POST /_carrier` | shipping: moves the parcel of `order_id` or `label_id` to `status` |
//! | `GET /jwks` | shipping: the public key of the signatures, as at the provider |

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
