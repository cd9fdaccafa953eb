//! Whether the gateway is set up safely.

use crate::{operation::operations, secrets::Check};

operations! {
    /// Requests about how safely the gateway is set up.
    Request::Check(CheckRequest);

    /// Looks at everything that an attacker would look for.
    "check.run" Run -> Vec<Check> as Checks, needs SecretsRead;
}
