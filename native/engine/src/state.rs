//! What outlives a program's generations: its counters and tables, on every lcore.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use wirelet_abi::table::kind;
use wirelet_abi::{Error, ErrorCode};
use wirelet_packet::Backing;

use crate::counters::{CounterNames, new_state};
use crate::table::{Blueprint, Kept, KeptCounters, KeptValues, Shape, Store, Table, TableCopy};

/// The state of one program of an appliance.
pub struct ProgramState {
    /// Its counters' names, the same on every lcore.
    pub counters: CounterNames,
    /// Their values, per lcore.
    values: Vec<Arc<Backing>>,
    tables: RwLock<Vec<StateTable>>,
    keeper: Option<Keeper>,
}

/// Where state is kept that survives the process.
struct Keeper {
    store: Arc<Store>,
    program: String,
    /// The files behind the counters' values.
    _values: Vec<KeptValues>,
}

/// One of a program's tables.
#[derive(Clone)]
pub struct StateTable {
    /// What the program asked for.
    pub wanted: Wanted,
    /// Fields of the key and of the value.
    pub layouts: [String; 2],
    /// Per lcore; the same one for all when it is shared.
    pub tables: Vec<Arc<Table>>,
    /// The newest generation did not ask for it; the next that does not lets it go.
    idle: bool,
}

impl StateTable {
    /// The same, with `table` on the only lcore.
    pub fn on_one_lcore(&self, table: Arc<Table>) -> StateTable {
        StateTable { tables: vec![table], ..self.clone() }
    }
}

/// A table as a program asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its name.
    pub name: String,
    /// Kind, capacity, sizes.
    pub shape: Shape,
    /// Names of the key's and the value's type.
    pub types: [String; 2],
}

/// What becomes of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableAction {
    /// It is as it should be.
    Attach,
    /// It is new.
    Create,
    /// It gets more room.
    Grow,
    /// Its values get more fields, or, in a rollback, lose those.
    Extend,
    /// It has another shape and begins empty.
    Reset,
}

impl TableAction {
    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            TableAction::Attach => "attach",
            TableAction::Create => "create",
            TableAction::Grow => "grow",
            TableAction::Extend => "extend",
            TableAction::Reset => "reset",
        }
    }
}

/// What a swap may do to tables.
#[derive(Clone, Copy, Debug, Default)]
pub struct StateRules {
    /// Tables of another shape begin empty.
    pub reset: bool,
    /// Values may lose their last fields: the program is one that ran before.
    pub cut: bool,
}

/// The tables of the next generation, before anybody sees them.
#[derive(Default)]
pub struct Draft {
    /// In the order in which the program asks for them.
    pub tables: Vec<StateTable>,
    /// What becomes of each.
    pub actions: Vec<TableAction>,
    /// Copies to be made before the generation is adopted; lcore and copy.
    pub copies: Vec<(usize, TableCopy)>,
}

impl Draft {
    /// One lcore's tables, in the order in which the program asks for them.
    pub fn of(&self, lcore: usize) -> Vec<Arc<Table>> {
        self.tables.iter().map(|table| Arc::clone(&table.tables[lcore])).collect()
    }

    /// Whether every table stays where it is.
    pub fn attaches_all(&self) -> bool {
        self.actions.iter().all(|action| *action == TableAction::Attach)
    }
}

impl ProgramState {
    /// Empty state on so many lcores.
    ///
    /// # Errors
    /// `WIRELET_E_MEMORY_EXHAUSTED`.
    pub fn new(lcores: usize) -> Result<Arc<ProgramState>, Error> {
        let values = (0..lcores).map(|_| new_state()).collect::<Result<_, _>>()?;
        let (counters, tables) = (CounterNames::default(), RwLock::default());
        Ok(Arc::new(ProgramState { counters, values, tables, keeper: None }))
    }

    /// The state of `program` on so many lcores as `store` has kept it, or empty; it is kept there
    /// from now on.
    ///
    /// # Errors
    /// `WIRELET_E_PERSIST`, `WIRELET_E_MEMORY_EXHAUSTED`.
    pub fn kept(
        store: &Arc<Store>,
        program: &str,
        lcores: usize,
    ) -> Result<Arc<ProgramState>, Error> {
        let KeptCounters { values: files, names } = store.counters(program, lcores)?;
        let values = files.iter().map(|file| Arc::clone(file.backing())).collect();
        let tables = gather(store.tables(program)?, store, program, lcores)?;
        let keeper = Keeper { store: Arc::clone(store), program: program.into(), _values: files };
        Ok(Arc::new(ProgramState {
            counters: CounterNames::kept(names),
            values,
            tables: RwLock::new(tables),
            keeper: Some(keeper),
        }))
    }

    /// State on one lcore that begins with these tables.
    ///
    /// # Errors
    /// `WIRELET_E_MEMORY_EXHAUSTED`.
    pub fn with_tables(tables: Vec<StateTable>) -> Result<Arc<ProgramState>, Error> {
        let (counters, tables) = (CounterNames::default(), RwLock::new(tables));
        let values = vec![new_state()?];
        Ok(Arc::new(ProgramState { counters, values, tables, keeper: None }))
    }

    /// Memory of the counters on one lcore.
    pub fn values(&self, lcore: usize) -> &Arc<Backing> {
        &self.values[lcore]
    }

    /// Every counter's name and its sum over the lcores.
    pub fn read_counters(&self) -> Vec<(String, u64)> {
        self.counters.read(&self.values)
    }

    /// Its tables now.
    pub fn tables(&self) -> RwLockReadGuard<'_, Vec<StateTable>> {
        self.tables.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The table called `name`.
    ///
    /// # Errors
    /// `WIRELET_E_TABLE_UNKNOWN`.
    pub fn table(&self, name: &str) -> Result<StateTable, Error> {
        let tables = self.tables();
        let found = tables.iter().find(|table| table.wanted.name == name);
        found.cloned().ok_or_else(|| Error::new(ErrorCode::TableUnknown, name))
    }

    /// One lcore's tables as `wanted` asks for them: for an instance that takes the place of
    /// another of the same program.
    ///
    /// # Errors
    /// `WIRELET_E_TABLES` when it asks for something else than the instances before.
    pub fn attach(&self, wanted: &[Wanted], lcore: usize) -> Result<Vec<Arc<Table>>, Error> {
        let tables = self.tables();
        let find = |wanted: &Wanted| {
            let found = tables.iter().find(|table| {
                let has = table.tables[lcore].shape();
                let larger = Shape { capacity: has.capacity, ..wanted.shape };
                table.wanted.name == wanted.name && *has == larger
            });
            let found = found.map(|table| Arc::clone(&table.tables[lcore]));
            found.ok_or_else(|| differs(&wanted.name, "it asked for another table before"))
        };
        wanted.iter().map(find).collect()
    }

    /// What `wanted` needs: tables that are there, larger ones, new ones. Changes nothing.
    ///
    /// # Errors
    /// `WIRELET_E_TABLE_SCHEMA`, `WIRELET_E_TABLES`, `WIRELET_E_MEMORY_EXHAUSTED`.
    pub fn draft(
        &self,
        wanted: &[Wanted],
        types: &HashMap<String, String>,
        rules: StateRules,
    ) -> Result<Draft, Error> {
        let mut draft = Draft { tables: Vec::new(), actions: Vec::new(), copies: Vec::new() };
        let tables = self.tables();
        for wanted in wanted {
            let layouts = layouts(wanted, types);
            let old = tables.iter().find(|table| table.wanted.name == wanted.name);
            let action = decide(old, wanted, &layouts, rules)?;
            let (tables, copies) = match (action, old) {
                (TableAction::Create | TableAction::Reset, _) | (_, None) => {
                    (self.create(wanted, &layouts)?, Vec::new())
                }
                (TableAction::Attach, Some(old)) => (old.tables.clone(), Vec::new()),
                (TableAction::Grow | TableAction::Extend, Some(old)) => {
                    copies_of(old, wanted, &layouts)?
                }
            };
            draft.copies.extend(copies);
            draft.actions.push(action);
            draft.tables.push(StateTable { wanted: wanted.clone(), layouts, tables, idle: false });
        }
        Ok(draft)
    }

    /// Makes `draft` the state; a restart finds it from now on. Tables that two generations in a
    /// row have not asked for go.
    pub fn commit(&self, draft: Draft) {
        let mut tables = self.write();
        let mut next = draft.tables;
        // What lcores adopt they have activated themselves, in time; once more does no harm.
        next.iter().flat_map(|table| &table.tables).for_each(|table| table.activate());
        for old in tables.drain(..) {
            let asked = next.iter().any(|table| table.wanted.name == old.wanted.name);
            if !asked && !old.idle {
                next.push(StateTable { idle: true, ..old });
            }
        }
        *tables = next;
    }

    /// Puts another table in the place of `name`'s on one lcore, or of the shared one.
    pub fn put(&self, name: &str, lcore: usize, table: &Arc<Table>) {
        let mut tables = self.write();
        let Some(found) = tables.iter_mut().find(|table| table.wanted.name == name) else { return };
        if table.shape().shared {
            found.tables.fill(Arc::clone(table));
        } else {
            found.tables[lcore] = Arc::clone(table);
        }
    }

    fn write(&self) -> RwLockWriteGuard<'_, Vec<StateTable>> {
        self.tables.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn create(&self, wanted: &Wanted, layouts: &[String; 2]) -> Result<Vec<Arc<Table>>, Error> {
        let new = |lcore: Option<usize>| {
            let keeper = self.keeper.as_ref();
            let home = keeper.map(|keeper| keeper.store.home(&keeper.program, lcore, layouts));
            let (name, shape) = (wanted.name.as_str(), &wanted.shape);
            Blueprint { name, shape, home }.empty().map(Arc::new)
        };
        let lcores = self.values.len();
        if wanted.shape.shared {
            return Ok(vec![new(None)?; lcores]);
        }
        (0..lcores).map(|lcore| new(Some(lcore))).collect()
    }
}

/// Fields of key and value; what nobody described is bytes.
fn layouts(wanted: &Wanted, types: &HashMap<String, String>) -> [String; 2] {
    let bytes = [wanted.shape.key_bytes, wanted.shape.value_bytes];
    [0, 1].map(|which| match types.get(&wanted.types[which]) {
        Some(layout) => layout.clone(),
        None => format!("bytes[{}]", bytes[which]),
    })
}

fn decide(
    old: Option<&StateTable>,
    wanted: &Wanted,
    layouts: &[String; 2],
    rules: StateRules,
) -> Result<TableAction, Error> {
    wanted.shape.check()?;
    let Some(old) = old else { return Ok(TableAction::Create) };
    let has = old.tables[0].shape();
    let key = has.kind == wanted.shape.kind
        && has.shared == wanted.shape.shared
        && has.key_bytes == wanted.shape.key_bytes
        && old.layouts[0] == layouts[0];
    let equal = old.layouts[1] == layouts[1] && has.value_bytes == wanted.shape.value_bytes;
    let longer = |long: &str, short: &str| {
        long.strip_prefix(short).is_some_and(|rest| rest.starts_with(','))
    };
    let extends =
        longer(&layouts[1], &old.layouts[1]) || rules.cut && longer(&old.layouts[1], &layouts[1]);
    match () {
        () if key && equal && wanted.shape.capacity <= has.capacity => Ok(TableAction::Attach),
        () if key && equal => Ok(TableAction::Grow),
        () if key && extends => Ok(TableAction::Extend),
        () if rules.reset => Ok(TableAction::Reset),
        () => Err(differs(&wanted.name, &difference(old, wanted, layouts))),
    }
}

fn difference(old: &StateTable, wanted: &Wanted, layouts: &[String; 2]) -> String {
    let describe = |shape: &Shape, layouts: &[String; 2]| {
        let shared = if shape.shared { "shared " } else { "" };
        let kind = kind::NAMES[shape.kind as usize];
        format!("{shared}{kind} {{{}}} => {{{}}}", layouts[0], layouts[1])
    };
    let kept = describe(old.tables[0].shape(), &old.layouts);
    format!("kept is {kept}, wanted is {}", describe(&wanted.shape, layouts))
}

fn differs(name: &str, how: &str) -> Error {
    Error::new(ErrorCode::TableSchema, format!("table `{name}`: {how}"))
}

type Copies = (Vec<Arc<Table>>, Vec<(usize, TableCopy)>);

/// Larger tables, and the copies that fill them. A shared one has no writer but the thread that
/// calls this, so it is copied here and now.
fn copies_of(old: &StateTable, wanted: &Wanted, layouts: &[String; 2]) -> Result<Copies, Error> {
    let shape_for = |from: &Table| {
        let capacity = from.shape().capacity.max(wanted.shape.capacity);
        Shape { capacity, ..wanted.shape }
    };
    if wanted.shape.shared {
        let from = &old.tables[0];
        let to = copy_shared(from, &shape_for(from), layouts)?;
        return Ok((vec![to; old.tables.len()], Vec::new()));
    }
    let mut copies = Copies::default();
    for (lcore, from) in old.tables.iter().enumerate() {
        let shape = shape_for(from);
        let to = Arc::new(in_place_of(from, &shape, layouts).empty_like(from)?);
        copies.0.push(Arc::clone(&to));
        copies.1.push((lcore, TableCopy::new(Arc::clone(from), to)?));
    }
    Ok(copies)
}

/// A table that is kept where `old` is.
fn in_place_of<'a>(old: &'a Table, shape: &'a Shape, layouts: &[String; 2]) -> Blueprint<'a> {
    let home = old.home().map(|home| home.with_layouts(layouts));
    Blueprint { name: old.name(), shape, home }
}

/// Of a table that nobody writes meanwhile.
fn copy_shared(
    from: &Arc<Table>,
    shape: &Shape,
    layouts: &[String; 2],
) -> Result<Arc<Table>, Error> {
    let blueprint = in_place_of(from, shape, layouts);
    if matches!(shape.kind, kind::LPM4 | kind::LPM6) {
        let (entries, _) = from.read(0, usize::MAX);
        let entries = entries.iter().map(|(key, value)| (key.as_slice(), value.as_slice()));
        return blueprint.filled(entries).map(Arc::new);
    }
    let to = Arc::new(blueprint.empty_like(from)?);
    let mut copy = TableCopy::new(Arc::clone(from), Arc::clone(&to))?;
    copy.copy_all();
    let copied = copy.finish(usize::MAX);
    assert!(copied, "nobody else writes a shared table");
    Ok(to)
}

/// Tables of an earlier process, one for each of so many lcores. What lcores wrote that are no more
/// goes to the others, as far as there is room; new lcores begin empty.
fn gather(
    kept: Vec<Kept>,
    store: &Store,
    program: &str,
    lcores: usize,
) -> Result<Vec<StateTable>, Error> {
    let mut found: Vec<StateTable> = Vec::new();
    for tables in kept.chunk_by(|a, b| a.table.name() == b.table.name()) {
        let (first, layouts) = (&tables[0].table, tables[0].layouts.clone());
        let (name, shape) = (first.name().to_string(), *first.shape());
        found.push(StateTable {
            wanted: Wanted { name, shape, types: Default::default() },
            layouts,
            tables: Vec::with_capacity(lcores),
            idle: false,
        });
    }
    for Kept { lcore, table, .. } in kept {
        let named = |held: &&mut StateTable| held.wanted.name == table.name();
        let held = found.iter_mut().find(named).expect("every name has its row");
        match lcore {
            None => {
                let table = Arc::new(table);
                held.tables = vec![table; lcores];
            }
            // They come sorted by lcore; one that is missing is made below.
            Some(lcore) if lcore < lcores && lcore == held.tables.len() => {
                held.tables.push(Arc::new(table));
            }
            Some(lcore) => {
                let Some(target) = held.tables.get(lcore % lcores) else { continue };
                for (key, value) in table.read(0, usize::MAX).0 {
                    if target.get(&key).is_none() {
                        // A full table counts what it refuses.
                        let _ = target.set(&key, &value);
                    }
                }
                table.discard();
            }
        }
    }
    for held in &mut found {
        for lcore in held.tables.len()..lcores {
            let home = Some(store.home(program, Some(lcore), &held.layouts));
            let (name, shape) = (held.wanted.name.as_str(), &held.wanted.shape);
            let table = Blueprint { name, shape, home }.empty()?;
            table.activate();
            held.tables.push(Arc::new(table));
        }
    }
    Ok(found)
}
