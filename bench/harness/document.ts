export async function writeDocument(_results: URL): Promise<void> {}
