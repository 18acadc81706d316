//! Pairing by code: the real machines of both sides, over links that lose messages and break in the middle.
//!
//! Somebody reads a code to somebody else, who tries it, and tries again when the line breaks. Now and then a stranger, or
//! the joiner in a hurry, guesses first, as often as burns a code or less. SPAKE2 draws its scalars from the operating
//! system; nothing that a story tells depends on them.

use covey_engine::HoldReason;
use covey_pair::{
    Code, Inviter, InviterOutcome, Joiner, JoinerOutcome, Nameplate, PairError, Purpose, Refusal, Step, Terms,
};
use covey_space::{Device, DeviceCert, JoinRequest, LinkConsent, LinkQuestion, LinkRequest, Role, Welcome};
use covey_types::limits::MAX_WRONG_GUESSES;

use crate::{
    machine::Pending,
    story::{said, user},
    world::World,
};

/// How long a code is good, virtual milliseconds.
const CODE_MS: u64 = 60_000;

/// How often somebody tries a code whose line broke.
const TRIES: u32 = 3;

/// Until they try again, virtual milliseconds.
const AGAIN_MS: u64 = 700;

/// One of so many messages is the last of its stream.
const BREAKS: u8 = 25;

/// One of so many codes is guessed at before it's used.
const GUESSED: u8 = 6;

/// One device trying one code.
#[derive(Debug, Clone)]
pub(crate) struct Try {
    inviter: usize,
    joiner: usize,
    purpose: Purpose,
    role: Role,
    code: Code,
    is_right: bool,
    left: u32,
}

/// Both sides of one stream.
pub(crate) struct Pairing {
    of: Try,
    inviting: Inviter,
    joining: Joiner,
    linking: Option<(Terms, LinkRequest)>,
}

impl std::fmt::Debug for Pairing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.of.fmt(f)
    }
}

/// Has somebody read a code to somebody else, who will try it.
pub(crate) fn invite(world: &mut World, inviter: usize, joiner: usize) {
    let Some(space) = world.space else { return };
    let role = [Role::Member, Role::Member, Role::Admin, Role::Guest, Role::Owner][world.rng.usize(0..5)];
    let is_own = user(world, inviter) == user(world, joiner);
    let purpose = if is_own { Purpose::Device } else { Purpose::Space };
    let wall = world.wall_ms(inviter);
    let terms = Terms { space, role: role.to_u8(), expires_at_ms: wall + CODE_MS };
    let code = match world.machines[inviter].invitations.open_for(purpose, terms, wall) {
        Ok(code) => code,
        Err(err) => return world.note(format!("m{inviter} would have invited m{joiner}, but {err}")),
    };
    let right = Try { inviter, joiner, purpose, role, code, is_right: true, left: TRIES };
    let mut delay = 0;
    if world.rng.u8(0..GUESSED) == 0 {
        for _ in 0..world.rng.u32(1..=MAX_WRONG_GUESSES) {
            let stranger = world.rng.usize(0..world.machines.len());
            if stranger != inviter
                && let Some(code) = guess(&right.code)
            {
                world.try_code(
                    delay,
                    Try { joiner: stranger, code, is_right: false, left: 1, ..right.clone() },
                );
                delay += world.rng.u64(0..200);
            }
        }
    }
    world.try_code(delay, right);
}

/// A code of the same name with another secret.
fn guess(code: &Code) -> Option<Code> {
    let (right, other) = (code.to_string(), Code::generate().to_string());
    let (name, secret) = (right.rsplit_once('-')?.0, other.rsplit_once('-')?.1);
    format!("{name}-{secret}").parse().ok().filter(|wrong| wrong != code)
}

impl World {
    /// A device tries a code: its stream to the inviter begins, if it gets there.
    pub(crate) fn begin_pairing(&mut self, of: Try) {
        let (inviter, joiner) = (of.inviter, of.joiner);
        if of.left == 0 || self.machines[joiner].lost || self.machines[inviter].lost {
            return;
        }
        if !self.reachable(inviter, joiner) {
            return self.try_again(of);
        }
        let request = {
            let secrets = &self.machines[joiner].secrets;
            match of.purpose {
                Purpose::Space => {
                    let user_name = secrets.profile.user_name.clone();
                    JoinRequest { user_name, device: secrets.certified() }.encode()
                }
                Purpose::Device => {
                    let device_name = secrets.profile.device_name.clone();
                    LinkRequest { device_name, kem: secrets.kem.public() }.encode()
                }
            }
        };
        let (me, them) = (self.machines[joiner].device(), self.machines[inviter].device());
        match Joiner::start_for(of.purpose, &of.code, me, them, request) {
            Ok((joining, first)) => {
                let inviting = Inviter::new(them, me);
                let id = self.next_stream();
                self.pairings.insert(id, Pairing { of, inviting, joining, linking: None });
                self.send_pairing(id, true, first);
            }
            Err(err) => self.fail(format!("m{joiner} can't begin to pair: {err}")),
        }
    }

    /// The line broke: whoever has the right code comes again.
    fn try_again(&mut self, of: Try) {
        if of.left > 1 {
            self.try_code(AGAIN_MS, Try { left: of.left - 1, ..of });
        }
    }

    /// Sends the next message of a stream; or that was its end.
    fn send_pairing(&mut self, id: u64, to_inviter: bool, message: Vec<u8>) {
        let Some(pairing) = self.pairings.get(&id) else { return };
        let (inviter, joiner) = (pairing.of.inviter, pairing.of.joiner);
        let (from, to) = if to_inviter { (joiner, inviter) } else { (inviter, joiner) };
        let gets_there = self.reachable(from, to) && self.is_heard(from, to);
        if gets_there && self.rng.u8(0..BREAKS) > 0 {
            let delay = 1 + self.rng.u64(0..40);
            return self.pairing_message(delay, id, to_inviter, message);
        }
        self.note(format!("the pairing of m{joiner} with m{inviter} breaks off"));
        if let Some(pairing) = self.pairings.remove(&id) {
            self.try_again(pairing.of);
        }
    }

    /// A message of a pairing arrives.
    pub(crate) fn take_pairing(&mut self, id: u64, to_inviter: bool, message: &[u8]) {
        let Some(mut pairing) = self.pairings.remove(&id) else { return };
        let (inviter, joiner) = (pairing.of.inviter, pairing.of.joiner);
        if !self.machines[inviter].up || !self.machines[joiner].up {
            return self.try_again(pairing.of);
        }
        let said =
            if to_inviter { self.invited(&mut pairing, message) } else { self.joined(&mut pairing, message) };
        match said {
            Ok(Some(answer)) => {
                self.pairings.insert(id, pairing);
                self.send_pairing(id, !to_inviter, answer);
            }
            Ok(None) => {}
            Err(err) => {
                self.fail(format!("the pairing of m{joiner} with m{inviter}, both honest, fails: {err}"));
            }
        }
    }

    /// The inviter's side: what it answers.
    fn invited(&mut self, pairing: &mut Pairing, message: &[u8]) -> Result<Option<Vec<u8>>, PairError> {
        let (inviter, joiner) = (pairing.of.inviter, pairing.of.joiner);
        let wall = self.wall_ms(inviter);
        let invitations = &mut self.machines[inviter].invitations;
        let Step { send, outcome } = pairing.inviting.handle(message, invitations, wall)?;
        match outcome {
            None | Some(InviterOutcome::Finished) => Ok(send),
            Some(InviterOutcome::Refused(reason)) => {
                self.note(format!("m{inviter} refuses the code of m{joiner}: {reason}"));
                Ok(send)
            }
            Some(InviterOutcome::WrongGuess { burnt, .. }) => {
                self.note(format!("m{joiner} guesses wrong at a code of m{inviter}; burnt: {burnt}"));
                if pairing.of.is_right {
                    self.fail(format!("m{inviter} takes the right code of m{joiner} for a wrong one"));
                }
                Ok(send)
            }
            Some(InviterOutcome::Request { nameplate, terms, request }) => {
                self.one_use(pairing, nameplate);
                match pairing.of.purpose {
                    Purpose::Space => self.let_in(pairing, terms, &request).map(Some),
                    Purpose::Device => {
                        pairing.linking = LinkRequest::decode(&request).ok().map(|request| (terms, request));
                        let user = self.machines[inviter].secrets.user.id();
                        pairing.inviting.ask(&LinkQuestion { user }.encode()).map(Some)
                    }
                }
            }
            Some(InviterOutcome::Answered(consent)) => self.link(pairing, &consent).map(Some),
        }
    }

    /// A code lets one device in, and only one that has it.
    fn one_use(&mut self, pairing: &Pairing, nameplate: Nameplate) {
        let Try { inviter, joiner, is_right, .. } = pairing.of;
        if !is_right {
            self.fail(format!("m{joiner} guessed and m{inviter} lets it in"));
        }
        let first = *self.used.entry((inviter, nameplate)).or_insert(joiner);
        if first != joiner {
            self.fail(format!("a code of m{inviter} lets m{joiner} in after m{first}"));
        }
    }

    /// Lets a machine in: it stands in the inviter's log, durably, before it is given the keys.
    fn let_in(&mut self, pairing: &mut Pairing, terms: Terms, request: &[u8]) -> Result<Vec<u8>, PairError> {
        let (inviter, space) = (pairing.of.inviter, terms.space);
        let Ok(JoinRequest { user_name, device }) = JoinRequest::decode(request) else {
            return pairing.inviting.decline(Refusal::Declined);
        };
        let (joiner, role) = (device.cert.device, pairing.of.role);
        let is_enough = self.machines[inviter]
            .engine()
            .space(space)
            .is_ok_and(|state| state.membership.role_of(joiner) >= Some(role));
        if !is_enough {
            let result = self.act(inviter, move |rows, engine, secrets, wall| {
                engine.admit(rows, secrets, space, &user_name, role, &device, wall)
            });
            said(self, inviter, &format!("lets m{} in as {role}", pairing.of.joiner), &result);
            if result.is_err() {
                return pairing.inviting.decline(Refusal::Declined);
            }
        }
        self.welcome(pairing, terms)
    }

    /// Takes a further device of the inviter's user in, which has agreed to be theirs.
    fn link(&mut self, pairing: &mut Pairing, consent: &[u8]) -> Result<Vec<u8>, PairError> {
        let (inviter, joiner) = (pairing.of.inviter, self.machines[pairing.of.joiner].device());
        let (Some((terms, request)), Ok(consent)) = (pairing.linking.take(), LinkConsent::decode(consent))
        else {
            return pairing.inviting.decline(Refusal::Declined);
        };
        let user = self.machines[inviter].secrets.user.clone();
        let cert = DeviceCert::countersign(&user, joiner, request.kem, consent.signature);
        let Some(cert) = cert else { return pairing.inviting.decline(Refusal::Declined) };
        let (space, device) = (terms.space, Device { cert, name: request.device_name });
        let is_in = self.machines[inviter]
            .engine()
            .space(space)
            .is_ok_and(|state| state.membership.has_device(joiner));
        if !is_in {
            let result = self.act(inviter, move |rows, engine, secrets, wall| {
                engine.add_device(rows, secrets, space, &device, wall)
            });
            said(self, inviter, &format!("takes its user's m{} in", pairing.of.joiner), &result);
            if result.is_err() {
                return pairing.inviting.decline(Refusal::Declined);
            }
        }
        self.welcome(pairing, terms)
    }

    fn welcome(&mut self, pairing: &mut Pairing, terms: Terms) -> Result<Vec<u8>, PairError> {
        let (inviter, joiner) = (pairing.of.inviter, pairing.of.joiner);
        self.machines[inviter].disk.sync();
        self.machines[joiner].inviters.insert(inviter);
        let welcome = {
            let machine = &self.machines[inviter];
            let engine = machine.engine();
            engine.space(terms.space).ok().and_then(|state| {
                Some(Welcome {
                    space: terms.space,
                    name: state.name().to_owned(),
                    role: pairing.of.role,
                    keys: state.info.keys.for_joining(state.membership.current_epoch()?),
                    inviter_name: machine.secrets.profile.user_name.clone(),
                    inviter: machine.secrets.certified(),
                    addresses: Vec::new(),
                })
            })
        };
        match welcome {
            Some(welcome) => pairing.inviting.accept(&welcome.encode(), terms),
            None => pairing.inviting.decline(Refusal::Declined),
        }
    }

    /// The joiner's side: what it answers.
    fn joined(&mut self, pairing: &mut Pairing, message: &[u8]) -> Result<Option<Vec<u8>>, PairError> {
        let (inviter, joiner) = (pairing.of.inviter, pairing.of.joiner);
        let Step { send, outcome } = pairing.joining.handle(message)?;
        match outcome {
            None => Ok(send),
            Some(JoinerOutcome::Refused(reason)) => {
                self.note(format!("m{joiner} is refused by m{inviter}: {reason}"));
                Ok(None)
            }
            Some(JoinerOutcome::Asked(question)) => {
                let Ok(LinkQuestion { user }) = LinkQuestion::decode(&question) else { return Ok(None) };
                let secrets = &self.machines[joiner].secrets;
                let signature = DeviceCert::consent(user, &secrets.device, secrets.kem.public());
                pairing.joining.answer(LinkConsent { signature }.encode()).map(Some)
            }
            Some(JoinerOutcome::Welcome { welcome, terms }) => {
                match Welcome::decode(&welcome) {
                    Ok(welcome) if welcome.space == terms.space => self.enter(pairing, welcome),
                    _ => self.fail(format!("m{joiner} can't read the welcome of m{inviter}")),
                }
                Ok(send)
            }
        }
    }

    /// Keeps what a newcomer was given, durably.
    fn enter(&mut self, pairing: &Pairing, welcome: Welcome) {
        let (inviter, joiner) = (pairing.of.inviter, pairing.of.joiner);
        let (from, space) = (self.machines[inviter].device(), welcome.space);
        self.note(format!("m{joiner} comes in"));
        let entered = self.transact(joiner, move |rows, engine, secrets, wall| {
            engine.enter_space(rows, space, &welcome.name, welcome.keys, from)?;
            engine.release(rows, secrets, space, HoldReason::Key, wall)
        });
        match entered {
            Ok(outcome) => {
                self.pend(
                    joiner,
                    Pending { entered: [(space, true)].into(), ..Pending::of(space, &outcome) },
                );
                self.machines[joiner].disk.sync();
                self.machines[joiner].came_in = true;
            }
            Err(err) => self.fail(format!("entering the space: {err}")),
        }
    }

    /// The power of a machine goes: its streams break, and its codes are forgotten.
    pub(crate) fn forget_pairings(&mut self, machine: usize) {
        self.machines[machine].invitations = covey_pair::Invitations::new();
        let is_its = |pairing: &Pairing| pairing.of.inviter == machine || pairing.of.joiner == machine;
        let broken: Vec<u64> =
            self.pairings.iter().filter(|(_, pairing)| is_its(pairing)).map(|(id, _)| *id).collect();
        for id in broken {
            if let Some(pairing) = self.pairings.remove(&id) {
                self.try_again(pairing.of);
            }
        }
        self.used.retain(|(inviter, _), _| *inviter != machine);
    }
}
