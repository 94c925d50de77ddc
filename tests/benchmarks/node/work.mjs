// What piscina's threads do.
export default ({ a, b }) => a + b;
