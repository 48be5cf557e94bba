//! A workload's use of one container, through its link's gate.

use std::{ops::Range, sync::Arc, time::Duration};

use reef_capability::{Caller, Failure, Link, Operation};

use crate::{
    blob::{Blob, Listing, Open, Writing},
    store::{At, BlobStore, CONTAINER, ContainerInfo, OBJECT, ObjectInfo, Removed},
};

/// The longest name of an object, in bytes, as in S3.
const LONGEST_OBJECT: usize = 1024;
/// The longest name of a container, in bytes.
const LONGEST_CONTAINER: usize = 255;
/// The least that a backend is expected to copy within itself, in bytes a second.
const SLOWEST_COPY: u64 = 8 << 20;

static CREATE_CONTAINER: Operation = Operation::once("create-container");
static DELETE_CONTAINER: Operation = Operation::repeatable("delete-container");
static CONTAINER_INFO: Operation = Operation::repeatable("container-info");
static CLEAR: Operation = Operation::repeatable("clear");
static GET: Operation = Operation::repeatable("get");
static GET_DATA: Operation = Operation::once("get-data");
static PUT: Operation = Operation::repeatable("put");
static PUT_DATA: Operation = Operation::once("put-data");
static DELETE: Operation = Operation::repeatable("delete");
static INFO: Operation = Operation::repeatable("info");
static COPY: Operation = Operation::repeatable("copy");
static COPY_DATA: Operation = Operation::once("copy-data");
static MOVE: Operation = Operation::repeatable("move");
static MOVE_DATA: Operation = Operation::once("move-data");
static LIST: Operation = Operation::repeatable("list");
static LIST_NAMES: Operation = Operation::once("list-names");

/// All that a link is asked to do, for its gate. A stream's opening is one, and what it then does is another.
pub static OPERATIONS: &[&Operation] = &[
    &CREATE_CONTAINER,
    &DELETE_CONTAINER,
    &CONTAINER_INFO,
    &CLEAR,
    &GET,
    &GET_DATA,
    &PUT,
    &PUT_DATA,
    &DELETE,
    &INFO,
    &COPY,
    &COPY_DATA,
    &MOVE,
    &MOVE_DATA,
    &LIST,
    &LIST_NAMES,
];

/// A container as a workload has it: it may not be there.
#[derive(Clone, Debug)]
pub struct Container {
    link: Arc<Link<dyn BlobStore>>,
    name: Arc<str>,
}

impl Container {
    /// The container `name` of what `link` is to.
    ///
    /// # Errors
    /// When no container can be called so.
    pub fn new(link: Arc<Link<dyn BlobStore>>, name: Arc<str>) -> Result<Self, Failure> {
        check(CONTAINER, &name, LONGEST_CONTAINER)?;
        Ok(Self { link, name })
    }

    /// What it is called.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Makes it, empty.
    ///
    /// # Errors
    /// [`Failure::Conflict`] when it is there; otherwise as every use of a link.
    pub async fn create(&self, caller: &Caller) -> Result<(), Failure> {
        let make = || self.link.backend.create_container(&self.name);
        self.link.gate.run(caller, &CREATE_CONTAINER, make).await
    }

    /// Removes it and all in it. `false` if it was not there.
    ///
    /// # Errors
    /// As every use of a link.
    pub async fn delete(&self, caller: &Caller) -> Result<bool, Failure> {
        let remove = || self.link.backend.delete_container(&self.name);
        let mut some = false;
        loop {
            match self.link.gate.run(caller, &DELETE_CONTAINER, remove).await {
                Ok(Removed::All) => return Ok(true),
                Ok(Removed::Some) => some = true,
                Err(Failure::NotFound { .. }) => return Ok(some),
                Err(failure) => return Err(failure),
            }
        }
    }

    /// Whether it is there.
    ///
    /// # Errors
    /// As every use of a link.
    pub async fn exists(&self, caller: &Caller) -> Result<bool, Failure> {
        found(self.info(caller).await)
    }

    /// What is known of it.
    ///
    /// # Errors
    /// When it is not there; otherwise as every use of a link.
    pub async fn info(&self, caller: &Caller) -> Result<ContainerInfo, Failure> {
        let ask = || self.link.backend.container_info(&self.name);
        self.link.gate.run(caller, &CONTAINER_INFO, ask).await
    }

    /// Removes all in it.
    ///
    /// # Errors
    /// When it is not there; otherwise as every use of a link.
    pub async fn clear(&self, caller: &Caller) -> Result<(), Failure> {
        let clear = || self.link.backend.clear(&self.name);
        while self.link.gate.run(caller, &CLEAR, clear).await? == Removed::Some {}
        Ok(())
    }

    /// Opens an object, and of it the bytes of a range, which is cut to what there is.
    ///
    /// # Errors
    /// When it is not there; otherwise as every use of a link.
    pub async fn get(
        &self,
        caller: &Caller,
        object: &str,
        range: Range<u64>,
    ) -> Result<Blob, Failure> {
        let at = self.at(object)?;
        let open = || self.link.backend.read(at, range.clone());
        let (reading, place) = self.link.gate.open(caller, &GET, open).await?;
        Ok(Blob::new(Open::new(self.link.clone(), &GET_DATA, place), reading))
    }

    /// Begins to write an object.
    ///
    /// # Errors
    /// When the container is not there; otherwise as every use of a link.
    pub async fn put(&self, caller: &Caller, object: &str) -> Result<Writing, Failure> {
        let at = self.at(object)?;
        let begin = || self.link.backend.write(at);
        let (upload, place) = self.link.gate.open(caller, &PUT, begin).await?;
        Ok(Writing::new(Open::new(self.link.clone(), &PUT_DATA, place), upload))
    }

    /// Removes objects: those that are not there are gone already.
    ///
    /// # Errors
    /// When the container is not there; otherwise as every use of a link.
    pub async fn delete_objects(&self, caller: &Caller, objects: &[String]) -> Result<(), Failure> {
        for object in objects {
            self.at(object)?;
        }
        // Each within its time.
        for some in objects.chunks(100) {
            let remove = || self.link.backend.delete(&self.name, some);
            self.link.gate.run(caller, &DELETE, remove).await?;
        }
        Ok(())
    }

    /// Whether an object is there.
    ///
    /// # Errors
    /// When the container is not there; otherwise as every use of a link.
    pub async fn has(&self, caller: &Caller, object: &str) -> Result<bool, Failure> {
        match self.object_info(caller, object).await {
            Err(failure @ Failure::NotFound { what: CONTAINER, .. }) => Err(failure),
            other => found(other),
        }
    }

    /// What is known of an object.
    ///
    /// # Errors
    /// When it is not there; otherwise as every use of a link.
    pub async fn object_info(&self, caller: &Caller, object: &str) -> Result<ObjectInfo, Failure> {
        let at = self.at(object)?;
        self.link.gate.run(caller, &INFO, || self.link.backend.info(at)).await
    }

    /// The names of all its objects.
    ///
    /// # Errors
    /// When it is not there; otherwise as every use of a link.
    pub async fn list(&self, caller: &Caller) -> Result<Listing, Failure> {
        let list = || self.link.backend.list(&self.name);
        let (names, place) = self.link.gate.open(caller, &LIST, list).await?;
        Ok(Listing::new(Open::new(self.link.clone(), &LIST_NAMES, place), names))
    }

    /// Copies an object of this container, over one that is there.
    ///
    /// # Errors
    /// When it is not there, or the other container is not; otherwise as every use of a link.
    pub async fn copy(
        &self,
        caller: &Caller,
        object: &str,
        (to, name): (&Self, &str),
    ) -> Result<(), Failure> {
        if !self.beside(to) {
            return self.carry(caller, object, (to, name)).await;
        }
        let (from, to) = (self.at(object)?, to.at(name)?);
        let (mut open, size) = self.measured(caller, object, (&COPY, &COPY_DATA)).await?;
        within(&mut open, size, self.link.backend.copy(from, to)).await
    }

    /// Moves an object of this container, over one that is there. It is at one of both places at any time, or at
    /// both.
    ///
    /// # Errors
    /// As [`copy`](Self::copy).
    pub async fn rename(
        &self,
        caller: &Caller,
        object: &str,
        (to, name): (&Self, &str),
    ) -> Result<(), Failure> {
        if !self.beside(to) {
            self.carry(caller, object, (to, name)).await?;
            return self.delete_objects(caller, &[object.to_owned()]).await;
        }
        let (from, to) = (self.at(object)?, to.at(name)?);
        let (mut open, size) = self.measured(caller, object, (&MOVE, &MOVE_DATA)).await?;
        within(&mut open, size, self.link.backend.rename(from, to)).await
    }

    fn at<'a>(&'a self, object: &'a str) -> Result<At<'a>, Failure> {
        check(OBJECT, object, LONGEST_OBJECT)?;
        Ok(At { container: &self.name, object })
    }

    /// Whether both are of one backend.
    fn beside(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.link.backend, &other.link.backend)
    }

    /// A place for something that takes as long as an object is large, and its size.
    async fn measured(
        &self,
        caller: &Caller,
        object: &str,
        (first, then): (&'static Operation, &'static Operation),
    ) -> Result<(Open, u64), Failure> {
        let at = self.at(object)?;
        let (info, place) =
            self.link.gate.open(caller, first, || self.link.backend.info(at)).await?;
        Ok((Open::new(self.link.clone(), then, place), info.size))
    }

    /// Copies to another backend, through here.
    async fn carry(
        &self,
        caller: &Caller,
        object: &str,
        (to, name): (&Self, &str),
    ) -> Result<(), Failure> {
        let mut blob = self.get(caller, object, 0..u64::MAX).await?;
        let mut writing = to.put(caller, name).await?;
        while let Some(piece) = blob.next().await? {
            writing.write(piece).await?;
        }
        writing.finish().await
    }
}

async fn within(
    open: &mut Open,
    size: u64,
    act: impl Future<Output = Result<(), Failure>>,
) -> Result<(), Failure> {
    let done = open.step_for(Duration::from_secs(size / SLOWEST_COPY), act).await;
    open.tell(done.as_ref().err());
    done
}

fn found<T>(done: Result<T, Failure>) -> Result<bool, Failure> {
    match done {
        Ok(_) => Ok(true),
        Err(Failure::NotFound { .. }) => Ok(false),
        Err(failure) => Err(failure),
    }
}

fn check(what: &'static str, name: &str, most: usize) -> Result<(), Failure> {
    if name.is_empty() {
        return Err(Failure::Invalid(format!("the name of the {what} is empty")));
    }
    if name.len() > most {
        let (is, most) = (name.len() as u64, most as u64);
        return Err(Failure::TooLarge { what: "name", is, most });
    }
    Ok(())
}
