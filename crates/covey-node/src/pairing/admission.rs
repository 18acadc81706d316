//! The inviter's side: devices that ask to be let in.

use covey_net::NetStream;
use covey_pair::{Inviter, InviterOutcome, Purpose, Refusal, Terms};
use covey_space::{JoinRequest, LinkRequest, Role, Welcome};
use covey_types::{DeviceId, SpaceId, wire::DecodeError};

use super::{Failure, PAIRING_TIMEOUT, PROTOCOL, linking, receive, send};
use crate::{Node, NodeError};

/// Accepts the streams of devices that want to join.
pub(crate) fn accept(node: Node) -> Result<impl Future<Output = ()>, covey_net::NetError> {
    let mut incoming = node.0.net.accept(PROTOCOL)?;
    Ok(async move {
        while let Some((joiner, mut stream)) = incoming.next().await {
            let node_of_task = node.clone();
            node.spawn(async move {
                let Some(_turn) = node_of_task.0.pairing.turn(joiner) else {
                    let _ = send(&mut stream, &Inviter::refusal(Refusal::Busy)).await;
                    return;
                };
                let paired =
                    tokio::time::timeout(PAIRING_TIMEOUT, answer(&node_of_task, joiner, &mut stream)).await;
                match paired {
                    Ok(Ok(())) => {}
                    Ok(Err(Failure::Broken(reason))) => tracing::warn!(%joiner, reason, "a pairing failed"),
                    Ok(Err(Failure::Misbehaved(reason))) => {
                        let peers = &node_of_task.0.peers;
                        peers.misbehaved(&node_of_task, joiner, format!("pairing: {reason}")).await;
                    }
                    Err(_) => tracing::warn!(%joiner, "a pairing took too long"),
                }
            });
        }
    })
}

/// The inviter's side of one pairing.
async fn answer(node: &Node, joiner: DeviceId, stream: &mut NetStream) -> Result<(), Failure> {
    let mut inviter = Inviter::new(node.device(), joiner);
    let mut linking = None;
    // One that was declined has nothing more to say: its turn ends.
    while !inviter.is_over() {
        let message = receive(stream).await?;
        let step = {
            let mut invitations = node.0.pairing.invitations();
            let step = inviter.handle(&message, &mut invitations, node.now_ms());
            node.0.pairing.changed.notify_one();
            step?
        };
        if let Some(message) = step.send {
            send(stream, &message).await?;
        }
        match step.outcome {
            None => {}
            Some(InviterOutcome::Request { terms, request, .. }) => {
                let reply = match inviter.purpose() {
                    Purpose::Space => let_in(node, joiner, &mut inviter, terms, &request).await?,
                    Purpose::Device => {
                        let request = LinkRequest::decode(&request).map_err(|err| misbehaved(&err))?;
                        linking = Some((terms, request));
                        inviter.ask(&linking::question(node).encode())?
                    }
                };
                send(stream, &reply).await?;
            }
            Some(InviterOutcome::Answered(consent)) => {
                let Some((terms, request)) = linking.take() else {
                    return Err(Failure::Broken("it answered what was not asked".into()));
                };
                let reply = match linking::admit(node, joiner, terms, request, &consent).await {
                    Ok(welcome) => inviter.accept(&welcome.encode(), terms)?,
                    Err(err) => decline(joiner, &mut inviter, &err)?,
                };
                send(stream, &reply).await?;
            }
            Some(InviterOutcome::WrongGuess { burnt, .. }) => {
                let consequence = if burnt { "the code is burnt" } else { "the code stays open" };
                return Err(Failure::Broken(format!("it guessed a code wrongly; {consequence}")));
            }
            Some(InviterOutcome::Refused(refusal)) => {
                tracing::debug!(%joiner, %refusal, "refused a pairing");
                return Ok(());
            }
            Some(InviterOutcome::Finished) => return Ok(()),
        }
    }
    Ok(())
}

fn misbehaved(err: &DecodeError) -> Failure {
    Failure::Misbehaved(err.to_string())
}

fn decline(joiner: DeviceId, inviter: &mut Inviter, err: &NodeError) -> Result<Vec<u8>, Failure> {
    tracing::error!(%joiner, %err, "could not let a device in");
    Ok(inviter.decline(Refusal::Declined)?)
}

/// Lets a device into a space: the answer to it.
async fn let_in(
    node: &Node,
    joiner: DeviceId,
    inviter: &mut Inviter,
    terms: Terms,
    request: &[u8],
) -> Result<Vec<u8>, Failure> {
    match admit(node, joiner, terms, request).await {
        Ok(Some((welcome, terms))) => Ok(inviter.accept(&welcome, terms)?),
        Ok(None) => {
            tracing::warn!(%joiner, "its user is in the space with other devices, and only those add more");
            Ok(inviter.decline(Refusal::InAlready)?)
        }
        Err(err) => decline(joiner, inviter, &err),
    }
}

/// Writes the joiner into the space, unless it's in it already with this role; whether it may be in it.
///
/// Decided in the change itself: what an earlier try did may not be on disk yet, and nobody is to be welcomed to what may
/// never be. And to its end, whatever becomes of the pairing: who is in the space must be told to all.
async fn write_in(
    node: &Node,
    joiner: DeviceId,
    id: SpaceId,
    invited: Role,
    request: JoinRequest,
) -> Result<bool, NodeError> {
    let (node_of_task, secrets, now) = (node.clone(), node.secrets(), node.now_ms());
    let admitted = async move {
        let node = node_of_task;
        let written = node.write(move |tx, engine| {
            let JoinRequest { user_name, device } = request;
            let (membership, user) = (&engine.space(id)?.membership, device.cert.user);
            let already = membership.has_device(joiner);
            if !already && user != secrets.user.id() && membership.role_of_user(user).is_some() {
                return Ok(None);
            }
            let same_user = membership.user_of(joiner) == Some(user);
            let raised = same_user && membership.role_of(joiner) < Some(invited);
            let admits = !already || raised;
            let admitted = admits.then(|| engine.admit(tx, &secrets, id, &user_name, invited, &device, now));
            Ok(Some(admitted.transpose()?))
        });
        let Some(admitted) = written.await? else { return Ok(false) };
        if let Some((entry, outcome)) = admitted {
            node.acted(id, entry, &outcome);
            tracing::info!(space = %id, %joiner, role = %invited, "let a device in");
        }
        Ok(true)
    };
    node.to_its_end(admitted).await
}

/// Writes the joiner into the space and makes its welcome; the terms say the role that it has now.
///
/// A member that comes again keeps the higher of its role and the one that it is invited to. A further device of
/// somebody who is in is theirs to add, and not let in: `None`.
async fn admit(
    node: &Node,
    joiner: DeviceId,
    terms: Terms,
    request: &[u8],
) -> Result<Option<(Vec<u8>, Terms)>, NodeError> {
    let request = JoinRequest::decode(request).map_err(|err| NodeError::Invalid(err.to_string()))?;
    if request.device.cert.device != joiner {
        return Err(NodeError::Invalid("the certificate is of another device than the one that asks".into()));
    }
    let invited = Role::from_u8(terms.role).ok_or_else(|| NodeError::Internal("an unknown role".into()))?;
    let id = terms.space;
    if !write_in(node, joiner, id, invited, request).await? {
        return Ok(None);
    }
    let addresses = node.0.net.listen_addrs().await.iter().map(ToString::to_string).collect();
    let engine = node.engine();
    let state = engine.space(id)?;
    let role = state.membership.role_of(joiner).unwrap_or(invited);
    let epoch = state
        .membership
        .current_epoch()
        .ok_or_else(|| NodeError::NotReady { space: state.name().to_owned() })?;
    let welcome = Welcome {
        space: id,
        name: state.name().to_owned(),
        role,
        keys: state.info.keys.for_joining(epoch),
        inviter_name: node.secrets().profile.user_name.clone(),
        inviter: node.secrets().certified(),
        addresses,
    };
    Ok(Some((welcome.encode(), Terms { role: role.to_u8(), ..terms })))
}
