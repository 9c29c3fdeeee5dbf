package config

// Language declares the directives of the ini language itself, which every Set
// has. They are carried out while loading and do not appear in Config.Values.
var Language = []Option{}
