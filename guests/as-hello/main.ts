// WASI 0.1 from AssemblyScript: a map, the arguments, an exit status of its own.

console.log("hello from AssemblyScript");

const ages = new Map<string, i32>();
ages.set("Ada", 36);
ages.set("Grace", 85);
console.log("Ada is " + ages.get("Ada").toString());
console.log("arguments: " + process.argv.length.toString());
process.exit(3);
