package store

// The tables of the state, by the letters that their keys begin with.
const (
	TableItem        = 'i' // number -> Item
	TableDeposit     = 'L' // when it was confirmed, number -> nothing: items whose NFTs keep a deposit locked
	TableBatch       = 'B' // number of a batch -> the numbers of its objects
	TablePayload     = 'p' // number -> plaintext
	TableQueue       = 'q' // state, rank, number -> nothing
	TableKey         = 'k' // key -> number
	TableTx          = 'x' // transaction id -> number
	TableExpired     = 'z' // id of a transaction that was given up -> nothing
	TableUse         = 'd' // CID of a directory that was announced -> number
	TableGroup       = 'g' // number -> Group
	TableMarking     = 'm' // STIX id of a marking definition, 0, number -> plaintext
	TableCounter     = 'c'
	TableReplace     = 'R' // number -> nothing: items that take the places of others, which are not ended yet
	TableStatus      = 's' // id -> Status
	TableMemo        = 'M' // name -> bytes
	TableAccount     = 'u' // user -> Account
	TableToken       = 't' // SHA-256 of a token -> tokenRecord; disappears when it expires; in no backup
	TableAPIKey      = 'K' // name -> APIKey
	TableKeyHash     = 'h' // SHA-256 of an API key -> its name
	TableCertificate = 'f' // SHA-256 of a client certificate -> user
	TableFound       = 'F' // round, transaction id -> found.Transaction
	TableMissed      = 'S' // a source of the chain -> found.Missed; nothing -> found.fold
	TableDaybook     = 'D' // day, purpose, cause -> daybook.Sums
	TableHit         = 'H' // 'i', STIX id -> hits.Counter; 'k', SHA-256 of a request -> how much of it is counted; 'r' -> hits.Used; 'c' -> when
	TableClaimed     = 'U' // nothing -> nothing: somebody was let in, whoever comes first is no longer welcome
)

// The tables of the view. A date is a date_added in unix microseconds; it is unique in the view and names an entry.
const (
	TableEvent     = 'e' // position -> Event
	TableListed    = 'b' // position -> an object that a batch lists, see listed
	TableTxID      = 't' // transaction id -> position
	TableAsset     = 'a' // asset id -> position of the event that made it
	TableRecord    = 'r' // position -> nothing: the events that change the consortium
	TableDirectory = 'd' // CID -> how many events that may count name the directory
	TableContent   = 'c' // position -> what a record says, as the caller reads it
	TableWaiting   = 'w' // see waitingKey -> nothing
	TableUndecided = 'u' // collection, position -> nothing
	TableReview    = 'v' // collection -> number: a record of it was settled, and its undecided objects not reconsidered since
	TableLease     = 'l' // lease -> position: what this organisation published
	TableMeta      = 'm'
	TableEntry     = 'E' // date -> Entry: length of the JSON header (uint32), header, object
	TableList      = 'L' // collection, type or nothing, 0, class, date -> nothing; see listing.go
	TableInstant   = 'V' // collection, shelf, instant of the version, date -> nothing
	TableObject    = 'O' // collection, STIX id, shelf and for what is apart the member, instant of the version, position -> date
	TableHead      = 'H' // collection, STIX id -> object; … 0, member -> the first and the last version of a line that is apart
	TableFirst     = 'F' // collection, STIX id, 0, position -> member, of what is in force and may lead, but for the earliest
	TableLead      = 'N' // collection, STIX id -> nothing: another line leads than the one that is served
	TableIdentity  = 'I' // collection, identity -> date
	TableChanged   = 'C' // collection -> when something came or went last; like a date, and never one that comes later
	TableValue     = 'X' // format of the indexes, key of a value, 0, date of the oldest in descending order -> roles and dates, see find
	TableReference = 'R' // format, STIX id, 0, property, 0, date -> dates: who refers to the object
	TableWord      = 'W' // format, word, 0, date -> dates
	TableRemoval   = 'G' // date -> view.Removal: what left, for who has to be told
	TableDuplicate = 'D' // publication, position -> nothing: events whose object is there already
)
