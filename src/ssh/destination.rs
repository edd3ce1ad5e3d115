//! A host to connect to, together with the jump hosts on the way, each fully resolved.
//!
//! Made before the first connection, so that the keys of every hop are known to the [`KeyRing`](super::keys::KeyRing) too.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt;
use futures::future::BoxFuture;

use super::config::Resolver;
use super::resolved::{JumpHop, Resolved, Route};
use crate::failure::{Failure, FailureKind};
use crate::target::SshSettings;

/// Nobody has a chain this long; two hosts that name each other would never end.
const MAX_DEPTH: usize = 8;

/// One host and the way to it.
#[derive(Debug, Clone)]
pub struct Destination {
    pub resolved: Resolved,
    /// The jump hosts, the nearest to this machine first; empty for a direct way. Only the first of them may have jump hosts of
    /// its own: as with `ssh -J`, the later ones are reached through the one before.
    pub hops: Vec<Arc<Destination>>,
}

impl Destination {
    /// A host that is reached as its own settings say, without jump hosts.
    pub fn direct(resolved: Resolved) -> Self {
        Self { resolved, hops: Vec::new() }
    }

    /// This connection and those of all hops: what a key ring has to know.
    pub fn connections(&self) -> Vec<&Resolved> {
        let mut all = vec![&self.resolved];
        for hop in &self.hops {
            all.extend(hop.connections());
        }
        all
    }

    /// `user@host:port`, as shown to people.
    pub fn address(&self) -> String {
        format!("{}@{}", self.resolved.user, self.resolved.endpoint())
    }
}

/// A hop as written, and the configuration file that applies to it (`-F`).
type HopKey = (JumpHop, Option<PathBuf>);

/// Resolves the hosts of a run; each jump host once, however many hosts are behind it.
#[derive(Debug)]
pub struct Destinations {
    resolver: Resolver,
    hops: Mutex<HashMap<HopKey, Arc<Destination>>>,
}

impl Destinations {
    pub fn new(resolver: Resolver) -> Self {
        Self { resolver, hops: Mutex::default() }
    }

    pub fn resolver(&self) -> &Resolver {
        &self.resolver
    }

    /// The way to the target `name`. Fails with kind `Settings`.
    pub async fn resolve(&self, name: &str, settings: &SshSettings) -> Result<Destination, Failure> {
        let resolved = self.resolver.resolve(name, settings).await?;
        let hops = self.hops_of(&resolved, settings, 0).await?;
        Ok(Destination { resolved, hops })
    }

    fn hops_of<'a>(
        &'a self,
        resolved: &'a Resolved,
        settings: &'a SshSettings,
        depth: usize,
    ) -> BoxFuture<'a, Result<Vec<Arc<Destination>>, Failure>> {
        async move {
            let Route::Jump(wanted) = &resolved.route else { return Ok(Vec::new()) };
            if depth >= MAX_DEPTH {
                let message = format!("the jump hosts of {} lead in a circle", resolved.alias);
                return Err(Failure::new(FailureKind::Settings, message, "correct ProxyJump in ~/.ssh/config"));
            }
            let mut hops = Vec::new();
            for (index, hop) in wanted.iter().enumerate() {
                hops.push(self.hop(hop, settings, index == 0, depth).await?);
            }
            Ok(hops)
        }
        .boxed()
    }

    async fn hop(
        &self,
        hop: &JumpHop,
        settings: &SshSettings,
        nearest: bool,
        depth: usize,
    ) -> Result<Arc<Destination>, Failure> {
        let key = (hop.clone(), settings.config_file.clone());
        let known = self.hops.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        let found = match known {
            Some(found) => found,
            None => Arc::new(Destination::direct(self.resolver.resolve_hop(hop, settings).await?)),
        };
        self.hops.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_insert_with(|| Arc::clone(&found));
        if !nearest || !matches!(found.resolved.route, Route::Jump(_)) {
            return Ok(found);
        }
        let hops = self.hops_of(&found.resolved, settings, depth + 1).await?;
        Ok(Arc::new(Destination { resolved: found.resolved.clone(), hops }))
    }
}
