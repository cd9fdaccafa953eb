//! Several simulated machines with a node each.

use std::{io, net::Ipv4Addr};

use rand::{TryRngCore as _, rngs::OsRng};

use crate::{FakeNode, MACHINES, Machine, NodeState};

/// Nodes on machines of their own, which answer nobody who does not show the token. They end when it is dropped.
pub struct Simulation {
    pub(crate) nodes: Vec<(Machine, FakeNode)>,
    /// Made anew at every start.
    pub(crate) token: String,
}

impl Simulation {
    /// Begins to serve so many nodes on loopback, on ports of the kernel's choice.
    ///
    /// # Errors
    /// No port or random number is to be had.
    pub fn start(count: u8, seed: u64) -> io::Result<Self> {
        let mut secret = [0; 32];
        OsRng.try_fill_bytes(&mut secret).map_err(io::Error::other)?;
        let token = hex::encode(secret);
        let node = |(n, machine): (u8, &Machine)| {
            let state = NodeState::simulated(*machine, seed.wrapping_add(u64::from(n)), &token);
            Ok((*machine, FakeNode::listen(state, (Ipv4Addr::LOCALHOST, 0).into())?))
        };
        let nodes = (0..count).zip(MACHINES.iter().cycle()).map(node).collect::<io::Result<_>>()?;
        Ok(Self { nodes, token })
    }
}
