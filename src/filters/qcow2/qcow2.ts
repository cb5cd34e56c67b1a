import { imageFilter } from '../../formats/image-filter.ts';

export default imageFilter('qcow2', { more: true });
